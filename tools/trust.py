"""Who may call whom: certificates, tokens, and the flag that does without on the loopback."""

from __future__ import annotations

import argparse
import ipaddress
import ssl
from pathlib import Path

from ..runtime.errors import ToolError

HOW = "docs/serving.md has the openssl commands that make certificates"


def add_tls(parser: argparse.ArgumentParser, peer: str) -> None:
    """`--certificate`, `--key` and `--PEER-authority`, or `--insecure`."""
    tls = parser.add_argument_group("mutual TLS (all three)")
    tls.add_argument("--certificate", type=Path, metavar="PEM", help="this side's own")
    tls.add_argument("--key", type=Path, metavar="PEM")
    tls.add_argument(
        f"--{peer}-authority", type=Path, metavar="PEM", help=f"whose {peer} certificates count"
    )
    tls.add_argument(
        "--insecure", action="store_true", help="without TLS, over this machine's loopback alone"
    )


def tls_files(args: argparse.Namespace, peer: str, host: str) -> tuple[Path, Path, Path] | None:
    """(certificate, key, authority), each checked; None if TLS is off, as it may be on loopback."""
    given = (args.certificate, args.key, getattr(args, f"{peer}_authority"))
    names = f"--certificate, --key and --{peer}-authority"
    if not any(given):
        if not args.insecure:
            raise ToolError(
                f"mutual TLS needs {names} ({HOW}); --insecure does without, on the loopback alone"
            )
        if not is_loopback(host):
            raise ToolError(
                f"{host} is not this machine's loopback, and there anyone could call or listen: "
                f"--insecure is not for it; give {names} ({HOW})"
            )
        return None
    if not all(given):
        raise ToolError(f"mutual TLS needs {names} together; {HOW}")
    _check(*given)
    return given


def _check(certificate: Path, key: Path, authority: Path) -> None:
    """`ToolError` unless the files hold what they should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ToolError(
            f"{certificate} and {key} are not a PEM certificate and its key ({error}); {HOW}"
        ) from None
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise ToolError(f"{authority} holds no PEM certificate ({error}); {HOW}") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(address: str) -> str:
    """The host of HOST:PORT."""
    return address.rpartition(":")[0]
