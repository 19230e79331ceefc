"""The SOPS format once more, from its description alone: nothing here is shared with hubctl.

seal TEMPLATE IDENTITY.. : fills a template in. `@@AAD|TYPE|VALUE@@` becomes an encrypted value or comment, `@@=|VALUE@@` stays
readable and counts for the MAC, `@@recipient N@@`, `@@enc N@@`, `@@mac@@` and `@@modified@@` are those of the block. JSON text.
open FORMAT FILE IDENTITY: checks the MAC and prints the values in their order, as JSON.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MODIFIED = "2024-05-06T07:08:09Z"
ENC = re.compile(r"^ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*),type:([a-z]+)\]$")
ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()


def seal(key, aad, kind, plain):
    if not plain:
        return ""
    nonce = os.urandom(32)
    sealed = AESGCM(key).encrypt(nonce, plain, aad.encode())
    part = lambda data: base64.b64encode(data).decode()
    return f"ENC[AES256_GCM,data:{part(sealed[:-16])},iv:{part(nonce)},tag:{part(sealed[-16:])},type:{kind}]"


def unseal(key, aad, text):
    data, nonce, tag, kind = ENC.match(text).groups()
    data, nonce, tag = (base64.b64decode(part) for part in (data, nonce, tag))
    return kind, AESGCM(key).decrypt(nonce, data + tag, aad.encode())


def age(args, data):
    return subprocess.run(["age", *args], input=data, stdout=subprocess.PIPE, check=True).stdout


def recipient_of(identity):
    return subprocess.run(["age-keygen", "-y", identity], stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def do_seal(template, identities):
    key = os.urandom(32)
    recipients = [recipient_of(identity) for identity in identities]
    only_encrypted = "mac_only_encrypted" in template
    mac = hashlib.sha512(ONLY_ENCRYPTED if only_encrypted else b"")

    def value(found):
        aad, kind, plain = json.loads(f'"{found[1]}"').split("|", 2) if found[1][0] != "=" else ("", "=", found[1][2:])
        if kind == "=":
            if not only_encrypted:
                mac.update(plain.encode())
            return plain
        if kind != "comment":
            mac.update(plain.encode())
        return seal(key, aad, kind, plain.encode())

    text = re.sub(r"@@((?:=|[^@\n]*?)\|[^@\n]*)@@", value, template)
    text = text.replace("@@mac@@", seal(key, MODIFIED, "str", mac.hexdigest().upper().encode()))
    text = text.replace("@@modified@@", MODIFIED)

    def part(found):
        recipient = recipients[int(found[3])]
        if found[2] == "recipient":
            return found[1] + recipient
        enc = age(["-a", "-r", recipient], key).decode()
        indent = re.match(r" *", found[1])[0]
        # A block of YAML has its lines below each other; all else has them in one.
        return "\n".join(indent + line for line in enc.splitlines()) if found[1].isspace() else found[1] + json.dumps(enc)[1:-1]

    return re.sub(r"(?m)(^ *|.)@@(recipient|enc) (\d)@@", part, text)


def leaves_of(node, path):
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from leaves_of(inner, path + [key])
    elif isinstance(node, list):
        for inner in node:
            yield from leaves_of(inner, path)
    elif node is not None:
        yield path, node


def unflatten(flat):
    """Only as far as the tests need it: the recipients and what stands beside them."""
    block = {"age": []}
    for name, text in flat.items():
        text = text.replace("\\n", "\n")
        found = re.match(r"age__list_(\d+)__map_(\w+)$", name)
        if not found:
            block[name] = text
            continue
        while len(block["age"]) <= int(found[1]):
            block["age"].append({})
        block["age"][int(found[1])][found[2]] = text
    return block


def load(form, text):
    if form in ("json", "binary"):
        tree = json.loads(text)
    elif form == "yaml":
        import yaml

        tree = yaml.safe_load(text)
    elif form == "env":
        pairs = [line.split("=", 1) for line in text.splitlines() if line and line[0] != "#"]
        tree = {key: value.replace("\\n", "\n") for key, value in pairs if not key.startswith("sops_")}
        tree["sops"] = unflatten({key[5:]: value for key, value in pairs if key.startswith("sops_")})
    else:
        import configparser

        parser = configparser.RawConfigParser(default_section="", delimiters=("=",))
        parser.optionxform = str
        parser.read_string(text)
        tree = {section: dict(parser[section]) for section in parser.sections()}
        tree["sops"] = unflatten(tree["sops"])
    return tree, tree.pop("sops")


def do_open(form, path, identity):
    tree, block = load(form, open(path, newline="").read())
    enc = next(one["enc"] for one in block["age"] if one["recipient"] == recipient_of(identity))
    key = age(["-d", "-i", identity], enc.encode())
    assert len(key) == 32
    only_encrypted = str(block.get("mac_only_encrypted", "")).lower() == "true"
    mac = hashlib.sha512(ONLY_ENCRYPTED if only_encrypted else b"")
    found = []
    for keys, node in leaves_of(tree, []):
        if isinstance(node, str) and ENC.match(node):
            kind, plain = unseal(key, ":".join(keys) + ":", node)
            mac.update(plain)
            found.append([keys, kind, plain.decode()])
        else:
            plain = str(node) if not isinstance(node, bool) else "True" if node else "False"
            if not only_encrypted:
                mac.update(plain.encode())
            found.append([keys, "=", plain])
    kind, expected = unseal(key, str(block["lastmodified"]), block["mac"])
    assert kind == "str" and expected.decode() == mac.hexdigest().upper(), "the MAC does not match"
    return found


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    if what == "seal":
        print(do_seal(open(args[0]).read(), args[1:]), end="")
    else:
        print(json.dumps(do_open(*args)))
