#!/bin/sh
# Run a command on a screen: the one there is or, with --virtual or where there is none, one of Xvfb's.
# Usage: scripts/on_screen.sh [--virtual] COMMAND…
set -eu
virtual=false
if [ "${1:-}" = --virtual ]; then
    virtual=true
    shift
fi
display=${DISPLAY:-}${WAYLAND_DISPLAY:-}

if [ "$(uname)" != Linux ] || { [ -n "$display" ] && ! $virtual; }; then
    exec "$@"
fi
if command -v xvfb-run >/dev/null; then
    # Qt must draw on Xvfb's X11 screen, with Mesa's software OpenGL, whatever the session says.
    exec env -u WAYLAND_DISPLAY QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1 \
        xvfb-run --auto-servernum --server-args='-screen 0 1920x1200x24 -nolisten tcp' "$@"
fi
if [ -n "$display" ]; then
    exec "$@"
fi
echo "There is no display and no xvfb-run; install xvfb (on Debian and Ubuntu: apt-get install xvfb xauth) or run this where there is a screen." >&2
exit 1
