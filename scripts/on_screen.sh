#!/bin/sh
# Run a command on a screen: the one there is or, where there is none, one of Xvfb's.
# Usage: scripts/on_screen.sh [--own] COMMAND…     (--own: the command starts its screens with Xvfb itself)
set -eu
own=false
if [ "${1:-}" = --own ]; then
    own=true
    shift
fi

if [ "$(uname)" != Linux ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    exec "$@"
fi
if $own && command -v Xvfb >/dev/null; then
    exec "$@"
fi
if ! $own && command -v xvfb-run >/dev/null; then
    # Qt must draw on Xvfb's X11 screen, with Mesa's software OpenGL, whatever the session says.
    exec env QT_QPA_PLATFORM=xcb LIBGL_ALWAYS_SOFTWARE=1 \
        xvfb-run --auto-servernum --server-args='-screen 0 1920x1200x24 -nolisten tcp' "$@"
fi
echo "There is no display and no Xvfb; install xvfb (on Debian and Ubuntu: apt-get install xvfb xauth) or run this where there is a screen." >&2
exit 1
