#!/bin/sh
# Slurm's TaskProlog (slurm.conf: TaskProlog=/usr/libexec/gons/task_prolog.sh): makes a directory for the job, for gons-task
# to put over /tmp. It runs as the job's user before each task; of what it prints, "export NAME=VALUE" sets a variable for
# the task, "print ..." goes to the task's output.
set -eu

# Others may write to /tmp: a name that is taken by somebody else is an error, and mkdir follows no symbolic link.
dir=${GONS_JOB_TMP_BASE:-/tmp}/gons-job-$(id -u)-$SLURM_JOB_ID
if ! mkdir -m 0700 "$dir" 2>/dev/null && { [ -L "$dir" ] || [ ! -d "$dir" ] || [ ! -O "$dir" ]; }; then
  echo "print gons: cannot make $dir: it is there, and not this user's"
  exit 1
fi
echo "export GONS_JOB_TMP=$dir"
