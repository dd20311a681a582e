#!/bin/bash
# matrix.sh [REGEXP]: every case in whole machines (make test-vm). A line for
# each case as it ends, then the table of all; the status is that of the tests.
#
# build/vm/logs has the table, all that the tests printed, and for each case
# that failed the console, the journal and the commands of its machines.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

logs=build/vm/logs
rm -rf "$logs"
mkdir -p "$logs"
GONS_TEST_VM=1 "${GO:-go}" test -count=1 -timeout 4h -v -run "${1-.}" ./tests/vm 2>&1 |
	tee "$logs/output" | grep --line-buffered '^case: '
status=${PIPESTATUS[0]}
# The machine with SELinux has tests of its own; a line for each here.
if [ $# = 0 ]; then
	GONS_TEST_SELINUX=1 "${GO:-go}" test -count=1 -timeout 1h -v ./tests/selinux >"$logs/selinux" 2>&1 || status=1
	sed -nE 's/^--- (PASS|FAIL|SKIP): Test([A-Za-z]*) .*/selinux-trixie   \2 \1/p' "$logs/selinux" |
		while read -r system name outcome; do
			printf '%-16s %-28s %s\n' "$system" "$name" "$outcome"
		done | tee -a "$logs/table" | sed 's/^/case: /'
fi
echo
cat "$logs/table" || tail -n 40 "$logs/output" # no table: the tests didn't come to their end
if [ "$status" != 0 ]; then
	grep -hE '^ *--- FAIL|_test\.go:[0-9]+: ' "$logs"/{output,selinux} 2>/dev/null
	echo "all of it: $logs/output, $logs/selinux"
fi
exit "$status"
