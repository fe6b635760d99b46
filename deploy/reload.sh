#!/bin/sh
# Reloads an HAProxy through its master socket, and fails if HAProxy refuses: synapse-rs then tries again.
#
#   MASTER  the master socket       /run/haproxy/master.sock
#
# From HAProxy 2.7 on, the master answers when the new worker is ready (Success=1) or was refused (Success=0, with the reason).
# Before that it answers nothing, and how many reloads failed has to be asked for.
set -eu
: "${MASTER:=/run/haproxy/master.sock}"

ask() { echo "$1" | socat -t 20 - "UNIX-CONNECT:$MASTER"; }

# Before there is a configuration, HAProxy has not started: it will start with the new one.
[ -S "$MASTER" ] || exit 0

answer=$(ask reload)
case "$answer" in
*Success=1*) exit 0 ;;
*Success=0*)
    printf '%s\n' "$answer"
    exit 1
    ;;
esac
# HAProxy 2.6 starts itself anew, and cannot be asked for a moment.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    if processes=$(ask 'show proc' 2>/dev/null) && [ -n "$processes" ]; then
        case "$processes" in
        *'[failed: 0]'*) exit 0 ;;
        *'[failed: '*)
            echo 'HAProxy refuses the configuration: see its log'
            exit 1
            ;;
        *) exit 0 ;;
        esac
    fi
    sleep 0.1
done
echo "HAProxy's master does not answer"
exit 1
