#!/usr/bin/env bash
# Print the path of a Chromium for the tests of the pages, and install Debian's where there is none: scripts/browser.sh
# Exit code 77: it cannot be done here, and the message says what is missing.
set -euo pipefail

print_path() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    return 1
}
print_path && exit

if ((EUID)); then
    echo 'browser: there is no Chromium, and only root can install it: sudo apt-get install chromium' >&2
    exit 77
elif ! command -v apt-get >/dev/null; then
    echo 'browser: there is no Chromium and no apt-get; install Chromium by hand' >&2
    exit 77
fi

log=$(mktemp "${TMPDIR:-/tmp}/watchkeeper-apt-XXXXXX")
echo 'browser: installing chromium …' >&2
export DEBIAN_FRONTEND=noninteractive
# Without fonts the pages have no text; DejaVu has the signs that they use.
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } \
    >"$log" 2>&1 </dev/null; then
    printf 'browser: the installation failed; the end of %s:\n' "$log" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
rm -f "$log"
print_path || {
    echo 'browser: the package chromium brought no command of that name' >&2
    exit 77
}
