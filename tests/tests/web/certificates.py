"""An authority for tests, and certificates of it for this machine.

Usage: certificates.py DIR NAME FROM UNTIL   writes DIR/NAME.pem and DIR/NAME.key, which hold from so many days
from now on until so many; DIR/ca.pem is the authority's, made with the first.
"""

import datetime
import ipaddress
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PEM = serialization.Encoding.PEM


def called(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def made(name, key, signer, days, *extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(called(name)).issuer_name(called("Test"))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + datetime.timedelta(days=days[0]))
    builder = builder.not_valid_after(now + datetime.timedelta(days=days[1]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    signed = builder.sign(signer, hashes.SHA256())
    return signed.public_bytes(PEM)


def write(path, data):
    """Whole under its name, for its owner only."""
    draft = path + ".draft"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    os.rename(draft, path)


def secret(key):
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(PEM, kind, serialization.NoEncryption())


def authority(directory):
    at = os.path.join(directory, "ca.key")
    if os.path.exists(at):
        with open(at, "rb") as file:
            return serialization.load_pem_private_key(file.read(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    root = made("Test", key, key, (-1, 30), x509.BasicConstraints(True, None), usage)
    write(os.path.join(directory, "ca.pem"), root)
    write(at, secret(key))
    return key


def certified(directory, name, since=-1.0, until=30.0):
    signer = authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([address, x509.DNSName("localhost")])
    leaf = made(name, key, signer, (since, until), names)
    write(os.path.join(directory, f"{name}.key"), secret(key))
    write(os.path.join(directory, f"{name}.pem"), leaf)


if __name__ == "__main__":
    certified(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
