#!/bin/sh
# Sees to it that there is a Chromium for the browser tests and the screenshots: Debian's own, no download beside apt.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "The browser tests need Chromium. On Debian or Ubuntu:" >&2
    echo "    sudo apt-get install -y chromium" >&2
    exit 1
fi
$sudo apt-get update --quiet
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes chromium fonts-liberation
