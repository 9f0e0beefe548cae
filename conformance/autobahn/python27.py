"""Finds a Python 2.7 with pip, or brings one from Debian's archive.

The Autobahn suite runs on no other Python, and Debian has none since release 12. Release 11 (`bullseye`) had one: its
packages are unpacked, not installed, into a directory of the caller's, with what else they need from that release. Nothing
of the system is changed and no privilege is needed. They come from the mirror that apt is configured for, and apt checks
their signatures. pip, which Debian 11 had no more for this Python, comes from PyPI.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RELEASE = "bullseye"
PACKAGES = ("python2.7", "python2.7-minimal", "libpython2.7-stdlib", "libpython2.7-minimal", "libffi7", "libssl1.1")
# The last ones for Python 2.7.
PIP = ("pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TIMEOUT_S = 600
PROBE = "import sys, ssl, ctypes, pip, setuptools; print('%d.%d' % sys.version_info[:2])"


class Unavailable(Exception):
    """No Python 2.7 is here and none can be had."""


def find(cache):
    """The path of a Python 2.7 with pip: the system's, pyenv's, or one of our own below `cache`."""
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    own = cache / "python2.7" / "python2.7"
    candidates = ["python2.7", "python2", *sorted(glob.glob(f"{pyenv}/versions/2.7*/bin/python2.7")), str(own)]
    found = next(filter(works, candidates), None)
    if found:
        return found
    bring(own.parent)
    if not works(str(own)):
        raise Unavailable(f"{own} does not start; remove {own.parent} to fetch it again")
    return str(own)


def works(python):
    """Whether this is a Python 2.7 that can install the suite."""
    try:
        answer = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return answer.stdout.strip() == "2.7"


def bring(home):
    """Makes `home` with a whole Python 2.7 in it; `home` appears only once it is whole."""
    print(f"autobahn: fetching Python 2.7 of Debian's release {RELEASE} into {home}", file=sys.stderr)
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as aside:
        made = Path(aside, "made")
        for package in download(Path(aside, "apt")):
            command("dpkg", "-x", package, made)
        add_pip(made / "usr/lib/python2.7/dist-packages", Path(aside, "pip"))
        write_starter(made)
        if not works(str(made / "python2.7")):
            raise Unavailable("the Python 2.7 of Debian's release 11 does not run on this system")
        try:
            made.rename(home)
        except OSError:
            # Another run was faster; its Python is as good.
            pass


def write_starter(made):
    """The program to start: finds the two libraries that this release of Debian lacks."""
    starter = made / "python2.7"
    starter.write_text(
        "#!/bin/sh\n"
        'here=$(dirname "$0")\n'
        'LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu)\n'
        "export LD_LIBRARY_PATH\n"
        'exec "$here/usr/bin/python2.7" "$@"\n'
    )
    starter.chmod(0o755)


def download(folder):
    """Fetches the packages by apt with lists and sources of its own; gives their files."""
    folder.mkdir()
    whys = []
    for mirror in mirrors():
        try:
            return download_from(mirror, folder)
        except Unavailable as why:
            whys.append(str(why))
    raise Unavailable("; ".join(whys) or "apt knows no mirror")


def mirrors():
    """Where apt is configured to fetch from, in its order. Needs no package lists."""
    planned = command("apt-get", "update", "--print-uris")
    return dict.fromkeys(re.findall(r"^'(\S+)/dists/[^/' ]+/InRelease' ", planned, re.MULTILINE))


def download_from(mirror, folder):
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    trust = f" [signed-by={KEYRING}]" if KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb{trust} {mirror} {RELEASE} main\n")
    settings = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder,
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Retries": 3,
        # Its other user may not write here; the signatures are checked all the same.
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in settings.items())]
    command(*apt, "update", "--error-on=any")
    command(*apt, "download", *PACKAGES, cwd=folder)
    return sorted(folder.glob("*.deb"))


def add_pip(packages, folder):
    """Unpacks pip and its tools, which are wheels of pure Python. This Python has no pip to fetch pip with."""
    command(sys.executable, "-m", "venv", folder)
    fetch = [folder / "bin/pip", "download", "-q", "--no-input", "--disable-pip-version-check", "--no-deps"]
    command(*fetch, "--only-binary=:all:", "--python-version=27", "--dest", folder / "wheels", *PIP)
    for wheel in (folder / "wheels").glob("*.whl"):
        command(sys.executable, "-m", "zipfile", "-e", wheel, packages)


def command(*args, cwd=None):
    """Runs a command; gives what it printed."""
    args = [str(arg) for arg in args]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            args, cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise Unavailable(f"there is no {args[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{args[0]} was not done within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()[-1]
        raise Unavailable(f"{Path(args[0]).name}: {last}")
    return done.stdout
