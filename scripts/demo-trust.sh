#!/usr/bin/env bash
# Signs the checkpoints of the capitalization example with a key of its own, and verifies them as a stranger would:
# by the public key alone, and from an evaluation's accuracy back to the first event.
# Usage: scripts/demo-trust.sh BIN EXPERIMENT
set -euo pipefail
bin=$1
experiment=$2
keys=${XDG_CACHE_HOME:-$HOME/.cache}/watchkeeper/demo-trust
checkpoints=("$experiment"/*/artifacts/epoch_*)

# The reader sees each command as it would be typed.
show() {
    printf '\n$ watchkeeper %s\n' "$*"
    "$bin/watchkeeper" "$@"
}

mkdir -p "$keys"
if [[ ! -e $keys/demo.pem ]]; then
    show checkpoint keygen "$keys/demo.pem" --no-passphrase
fi
{ echo '# The key of this demo'; cat "$keys/demo.pem.pub"; } >"$keys/signers"

for checkpoint in "${checkpoints[@]}"; do
    show checkpoint manifest "$checkpoint"
    show checkpoint sign "$checkpoint" --key "$keys/demo.pem"
    show checkpoint verify "$checkpoint" --strict
    show checkpoint validate "$checkpoint" --require-signoff --signers "$keys/signers"
done
show check "$experiment"
