#!/bin/sh
# Slurm's Epilog (slurm.conf: Epilog=/usr/libexec/gons/epilog.sh), run as root on each node when the job has ended: removes
# what task_prolog.sh has made, as the job's user, so that no link of theirs leads root astray.
set -eu

dir=${GONS_JOB_TMP_BASE:-/tmp}/gons-job-$SLURM_JOB_UID-$SLURM_JOB_ID
[ -d "$dir" ] || exit 0
exec newns --uid "$SLURM_JOB_UID" ${SLURM_JOB_GID:+--gid "$SLURM_JOB_GID"} -- rm -rf -- "$dir"
