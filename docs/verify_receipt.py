#!/usr/bin/env python3
"""Checks a receipt of granter with nothing but Python: verify_receipt.py FILE.pub RECEIPT.json

It recomputes what docs/audit.md describes, so that nobody has to believe granter about its own receipts."""
import base64, hashlib, json, re, struct, sys
from datetime import datetime

# Ed25519, verification only (RFC 8032, section 6).
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    A, B = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    C, E = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, point):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, point)
        point, n = add(point, point), n >> 1
    return out


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - x2) % P or y >= P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def signed_by(key, text, signature):
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % Q
    left, right = times(s, base), add(point(signature[:32]), times(h, point(key)))
    return s < Q and (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def root(step, data):
    """The root that a leaf and its path lead to (RFC 9162, section 2.1.3.2)."""
    index, last, out = step["index"], step["size"] - 1, leaf(data)
    if not 0 <= index <= last:
        raise ValueError("no such leaf")
    for sibling in map(bytes.fromhex, step["path"]):
        if last == 0:
            raise ValueError("the path is too long")
        if index & 1 or index == last:
            out = hashlib.sha256(b"\1" + sibling + out).digest()
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            out = hashlib.sha256(b"\1" + out + sibling).digest()
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError("the path is too short")
    return out


def opened(head, public):
    """The text of a signed note (C2SP signed-note), if the key signed it."""
    name, hash_, key = public.strip().split("+", 2)
    key = base64.b64decode(key)[1:]
    text, _, signatures = head.rpartition("\n\n")
    for line in signatures.splitlines():
        dash, who, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if who == name and signature[:4].hex() == hash_ and signed_by(key, (text + "\n").encode(), signature[4:]):
            return text.split("\n")
    raise ValueError("the root is not signed by this key")


def once(pairs):
    """An object none of whose names comes twice: readers differ in which one they take."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)


def check(receipt, public):
    head = opened(receipt["head"], public)
    blind, chunk = bytes.fromhex(receipt["blind"]), receipt["chunk"]
    sized = receipt["format"] in (3, 4)  # before, how many users the group has was not signed
    if receipt["format"] in (1, 3):
        user, what, number = struct.pack(">Q", int(receipt["user"])), b"chunk", int(receipt["user"]) >> 16
        if str(int(receipt["user"])) != receipt["user"]:
            raise ValueError("a number is not in the form that granter gives it")
    elif receipt["format"] in (2, 4):  # IDs that are not dense; which bucket a user is in says nothing about the user
        text = receipt["user"].encode()
        user, what, number = struct.pack(">H", len(text)) + text, b"bucket", int(chunk["chunk"])
    else:
        raise ValueError("a receipt of another format: use the verifier of a newer granter")
    stamp = datetime.fromisoformat(receipt["granted_at"].replace("Z", "+00:00"))
    at = round(stamp.timestamp() * 1000)
    form = [f"{int(receipt['run'], 16):016x}", str(int(receipt["flush"]))]
    if form != [receipt["run"], receipt["flush"]] or not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", receipt["granted_at"]):
        raise ValueError("a number or time is not in the form that granter gives it")
    said = blind + user + struct.pack(">QQQBB", at, int(receipt["run"], 16), int(receipt["flush"]),
                                      5 if receipt["by_hand"] else 1, receipt["acts"])
    group = root(receipt["group"], said) + (struct.pack(">I", receipt["group"]["size"]) if sized else b"")
    users = root(chunk, group)
    data = b"granter %s %d\n" % (what, 1 + sized) + struct.pack(">QI", number, chunk["users"]) + bytes.fromhex(chunk["content"]) + users
    if chunk["index"] != blind[0] or chunk["size"] != 256 or chunk["chunk"] != str(number):
        raise ValueError("the user is of another chunk or group")
    if head[0] != "granter.audit/" + receipt["campaign"] or head[1] != str(receipt["report"]["size"]):
        raise ValueError("the root is of another campaign or report")
    if root(receipt["report"], data) != base64.b64decode(head[2]):
        raise ValueError("the receipt does not lead to the signed root")
    if head[4] != "spec " + hashlib.sha256(receipt["spec"].encode()).hexdigest():
        raise ValueError("the spec is not the one that was signed")


if __name__ == "__main__":
    with open(sys.argv[1]) as public, open(sys.argv[2]) as file:
        receipt = json.load(file, object_pairs_hook=once)
        check(receipt, public.read())
    print(f"VERIFIED: user {receipt['user']} was granted {receipt['campaign']} at {receipt['granted_at']}")
    print(receipt["spec"])
