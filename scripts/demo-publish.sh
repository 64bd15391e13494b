#!/usr/bin/env bash
# Publishes a signed checkpoint of the capitalization example: staged, checked, uploaded to a Hub on this machine, and
# fetched and verified by a stranger, who has the package and the signer's public key and nothing else.
# Usage: scripts/demo-publish.sh BIN EXPERIMENT
set -euo pipefail
bin=$1
experiment=$2
keys=${XDG_CACHE_HOME:-$HOME/.cache}/watchkeeper/demo-trust
repo=ada/capitalization
work=$(mktemp -d)
hub=
# The Hub ends with the demo, and nothing of either stays.
trap '[[ -z $hub ]] || kill "$hub"; rm -rf "$work"' EXIT

# The reader sees each command as it would be typed.
show() {
    printf '\n$ watchkeeper %s\n' "$*"
    "$bin/watchkeeper" "$@"
}

# As `show`, by somebody with an empty home, in another folder, who cannot see the experiment.
show_stranger() {
    printf '\nstranger$ watchkeeper %s\n' "$*"
    (cd "$work/stranger" && env -i PATH="$PATH" HOME="$work/stranger/home" LANG=C.UTF-8 HF_ENDPOINT="$HF_ENDPOINT" \
        "${hidden[@]}" "$bin/watchkeeper" "$@")
}

checkpoints=("$experiment"/*/artifacts/epoch_*)
checkpoint=${checkpoints[-1]}
bin=$(cd "$bin" && pwd)
mkdir -p "$work/stranger/home"
cp "$keys/signers" "$work/stranger/trusted-keys"
hidden=()
if unshare -rm true 2>/dev/null; then
    # shellcheck disable=SC2016 # the inner shell expands it
    hidden=(unshare -rm sh -c 'mount -t tmpfs none "$1" && shift && exec "$@"' sh "$(cd "$experiment" && pwd)")
fi

"$bin/python" -m tests.publish.hub.serve "$work/hub" &
hub=$!
while [[ ! -e $work/hub/url ]]; do
    kill -0 "$hub"
    sleep 0.1
done
HF_ENDPOINT=$(<"$work/hub/url")
export HF_ENDPOINT
echo "A Hub on this machine: $HF_ENDPOINT"

show publish stage "$checkpoint" -o "$work/package" --key "$keys/demo.pem" --license apache-2.0
show publish check "$work/package" --signers "$keys/signers"
show publish upload "$work/package" --repo "$repo" --token-file "$work/hub/token" --dry-run
show publish upload "$work/package" --repo "$repo" --token-file "$work/hub/token" --yes
show_stranger publish download "$repo" -o model --signers trusted-keys
show_stranger publish check model --signers trusted-keys

printf '\nIn the run log:\n'
grep -h -A 4 '^## HuggingFace' "$experiment"/../../run_logs/*/*.md "$experiment"/run_logs/*.md 2>/dev/null || true
show check "$experiment"
