"""Certificates for servers that speak TLS in tests."""
import functools
import subprocess

from . import proc


@functools.lru_cache(None)
def certificates():
    """ca.crt has signed server.crt, for localhost, client.crt, and expired.crt, whose time was over a day ago; strange.crt has signed
    stranger.crt."""
    d = proc.tempdir("certificates")

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
    for ca in ("ca", "strange"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{ca}.key", "-out", d / f"{ca}.crt", "-days", 30, "-subj", f"/CN={ca}")
    (d / "ext").write_text("subjectAltName=DNS:localhost\n")
    for name, ca, days in (("server", "ca", 30), ("client", "ca", 30), ("expired", "ca", -1), ("stranger", "strange", 30)):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{name}.key", "-out", d / f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", d / f"{name}.csr", "-CA", d / f"{ca}.crt", "-CAkey", d / f"{ca}.key", "-CAcreateserial", "-days", days,
                "-extfile", d / "ext", "-out", d / f"{name}.crt")
    return d
