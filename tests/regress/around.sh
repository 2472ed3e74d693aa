# Read before a test's body, when test-exec.sh has set everything up: what differs at Podgate.
# shellcheck shell=sh disable=SC2034,SC2154

TEST=$(basename "$SCRIPT" .sh)

# Kinds of keys that Podgate takes: of users no DSA, of hosts no RSA either.
SSH_KEYTYPES=$(echo "$SSH_KEYTYPES" | grep -v ssh-dss)
SSH_HOSTKEY_TYPES=$(echo "$SSH_HOSTKEY_TYPES" | grep -e ^ssh-ed25519 -e ^ecdsa)
maybe_filter_sk() { grep -v ssh-dss; }
case $TEST in keyscan | cert-hostkey) SSH_KEYTYPES=$SSH_HOSTKEY_TYPES ;; esac

# PuTTY's known hosts have only an RSA key so far; and it logs in as whoever runs it.
if [ "$REGRESS_INTEROP_PUTTY" = yes ]; then
	echo "UserName=$USER" >>"$OBJ/.putty/sessions/localhost_proxy"
	/usr/bin/python3 - "$OBJ/ecdsa-sha2-nistp256.pub" "$PORT" >>"$OBJ/.putty/sshhostkeys" <<-'END'
	import base64, sys
	point = base64.b64decode(open(sys.argv[1]).read().split()[1])[-64:]
	x, y = (int.from_bytes(half, "big") for half in (point[:32], point[32:]))
	print(f"ecdsa-sha2-nistp256@{sys.argv[2]}:127.0.0.1 nistp256,{x:#x},{y:#x}")
	END
fi

# A step that fails where `differences` says why, with a reason, does not fail the test.
verbose() { SECTION="$*: " STEP=; start_debug_log "$@"; echo "$@"; }
trace() { STEP="$*: "; start_debug_log "$@"; }
# difference TEXT...: whether it is one; says so.
difference() {
	while IFS='|' read -r test pattern reason; do
		if [ "$test" != "$TEST" ] || [ -z "$pattern" ]; then continue; fi
		if echo "$SECTION$STEP$*" | grep -qE -e "$(echo "$pattern" | tr '\001' '|')"; then
			echo "not applicable: $SECTION$STEP$*: $reason"
			return 0
		fi
	done <<-END
	$(tr '|\t' '\001|' <"$REGRESS_HERE/differences")
	END
	return 1
}
fail() {
	difference "$@" && return
	save_debug_log "FAIL: $*"
	RESULT=1
	echo "failed: $SECTION$STEP$*"
}
fatal() {
	difference "$@" && return
	fail "$@"
	cleanup
	exit 1
}
