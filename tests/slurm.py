"""A SLURM cluster of this machine alone: munged, slurmctld and slurmd of a test's own, ended with it."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from running import process

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
JobRequeue=1
EnforcePartLimits=ALL
KillWait=10
NodeName=near NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4
NodeName=far NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4
PartitionName=main Nodes=near Default=YES MaxTime=60
PartitionName=apart Nodes=far MaxTime=60
"""


@contextmanager
def slurm(hidden=None):
    """A cluster of two nodes in partitions of their own: `main`, and `apart`.

    SLURM_CONF in the environment names it. The node of `apart` does not see what lies in `hidden`: it runs in a mount
    namespace of its own, as a machine does that mounts another file system there. Skips where no cluster can be had.
    """
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        pytest.skip(f"no SLURM here: {', '.join(missing)} not found")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # of a short name: a socket's has 108 bytes at most
    with pytest.MonkeyPatch.context() as patch, ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # munged refuses a folder that others cannot enter
        patch.setenv("PATH", path)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        (folder / "state").mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        (folder / "slurm.conf").write_text(
            CONF.format(folder=folder, host=host, user=getpass.getuser(), ports=free_ports(3))
        )
        of_munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed")]
        unseen = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
        daemons = {
            "munged": ["munged", "--foreground", f"--socket={folder}/munge.socket", *of_munge],
            "slurmctld": ["slurmctld", "-D"],
            "near": ["slurmd", "-D", "-N", "near"],
            "far": [*(unseen if hidden else ()), "slurmd", "-D", "-N", "far"],
        }
        for name, command in daemons.items():
            log = ends.enter_context((folder / f"{name}.log").open("wb"))
            started = ends.enter_context(process(command, stdout=log, stderr=log))
            if name == "munged":
                until(lambda: (folder / "munge.socket").exists(), "munged listens", started, log.name)
        until(lambda: states() == {"near": "idle", "far": "idle"}, "both nodes are idle", started, log.name)
        ends.callback(end_jobs)
        yield folder


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def asked(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def states():
    """State of each node; none while SLURM does not answer."""
    with suppress(subprocess.CalledProcessError):
        return nodes()


def nodes():
    return dict(line.split() for line in asked("sinfo", "--noheader", "--Node", "--format=%N %t").splitlines())


def jobs(*options):
    """State of each job that has not ended, by its number."""
    lines = asked("squeue", "--noheader", "--array", "--format=%i %T", *options).splitlines()
    return dict(line.split() for line in lines)


def end_jobs():
    """No job outlives its cluster."""
    if left := jobs():
        subprocess.run(["scancel", "--signal=KILL", "--full", *left], capture_output=True)
        subprocess.run(["scancel", *left], capture_output=True)
    until(lambda: not jobs(), "all jobs have ended")


def until(true, what, daemon=None, log=None, seconds=60):
    """Wait for a state; skips where the daemon that should bring it about has ended."""
    end = time.monotonic() + seconds
    while not true():
        if daemon is not None and (daemon.poll() is not None or time.monotonic() > end):
            pytest.skip(f"no SLURM here: waited in vain until {what}: {Path(log).read_text()[-500:]}")
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.1)
