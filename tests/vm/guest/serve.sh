#!/bin/bash
# Stays up for a test on the host, which talks to it through forwarded ports, until it is told
# to stop. Lines that the host writes to the run directory's stdin are run as commands.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

ready "serving"
serve_until_stop
