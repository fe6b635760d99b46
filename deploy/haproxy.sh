#!/bin/sh
# Starts HAProxy in master-worker mode, with a master socket through which it is reloaded, as soon as there is a configuration.
#
#   CONFIG  its configuration       /etc/haproxy/haproxy.cfg
#   MASTER  its master socket       /run/haproxy/master.sock
set -eu
: "${CONFIG:=/etc/haproxy/haproxy.cfg}"
: "${MASTER:=/run/haproxy/master.sock}"

# The first process of a container ignores what it does not handle, and images of HAProxy stop their containers by SIGUSR1.
trap 'exit 0' TERM INT USR1
# The first configuration is written when the first endpoints are known.
until [ -s "$CONFIG" ]; do
    sleep 0.2
done
exec haproxy -W -db -S "$MASTER,mode,660" -f "$CONFIG"
