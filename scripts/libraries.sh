#!/bin/sh
# On Linux, install the system libraries that Qt and OpenGL need, or name those that are missing.
set -eu
[ "$(uname)" = Linux ] || exit 0
PATH="$PATH:/usr/sbin:/sbin"

# What is looked for (a library, a program or a Debian package), and the package that holds it.
table='
libEGL.so.1 libegl1
libGL.so.1 libgl1
libGLX_mesa.so.0 libglx-mesa0
package libgl1-mesa-dri
libglib-2.0.so.0 libglib2.0-0
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xinerama.so.0 libxcb-xinerama0
libxcb-xkb.so.1 libxcb-xkb1
package fonts-dejavu-core
program:xvfb-run xvfb
program:xauth xauth
'
known=$(ldconfig -p 2>/dev/null || true)
[ -n "$known" ] || exit 0 # no way to tell here: Qt says itself what it misses

present() {
    case $1 in
        program:*) command -v "${1#program:}" >/dev/null ;;
        package) ! command -v dpkg-query >/dev/null || dpkg-query -W -f '${Status}' "$2" 2>/dev/null | grep -q 'ok installed' ;;
        *) case $known in *"$1"*) ;; *) false ;; esac ;;
    esac
}

sought='' packages=''
while read -r item package; do
    [ -n "$item" ] && ! present "$item" "$package" || continue
    sought="$sought ${item#program:}"
    packages="$packages $package"
done <<EOF
$table
EOF
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These system libraries and programs are missing:$sought; install the packages of your distribution that hold them." >&2
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n env DEBIAN_FRONTEND=noninteractive'
else
    echo "These system packages are missing; install them with: sudo apt-get install$packages" >&2
    exit 0
fi
echo "Installing system packages:$packages"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # words on purpose
{ $as_root apt-get update -qq && $as_root apt-get install -qq --no-install-recommends $packages; } >/dev/null 2>&1 ||
    echo "Not every system package could be installed; try: apt-get update && apt-get install$packages" >&2
