"""What a slot holds, read through SQL and decoded in a few lines that share nothing with the relay: for readers that are wrong on purpose."""
import collections
import struct

Change = collections.namedtuple("Change", "lsn commit ordinal table row")
Change.__doc__ = """A row that was inserted, or a logical message (table None, row is (transactional, prefix, bytes)); lsn is its record's,
commit its transaction's; ordinal counts within the transaction."""


def lsn(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


class _Bytes:
    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, fmt):
        values = struct.unpack_from(">" + fmt, self.data, self.at)
        self.at += struct.calcsize(">" + fmt)
        return values if len(values) > 1 else values[0]

    def text(self):
        end = self.data.index(0, self.at)
        out, self.at = self.data[self.at:end].decode(), end + 1
        return out

    def piece(self):
        size = self.take("i")
        out, self.at = self.data[self.at:self.at + size], self.at + size
        return out

    def tuple(self):
        return [self.piece() if self.take("c") == b"t" else None for _ in range(self.take("h"))]


def peek(cur, slot, publication, at_least=None):
    """The changes behind the slot's confirmed place, in order, whole transactions: about at_least messages of the server."""
    cur.execute("select lsn::text, data from pg_logical_slot_peek_binary_changes(%s, null, %s, 'proto_version', '1', "
                "'publication_names', %s, 'messages', 'true')", (slot, at_least, publication))
    relations, commit, ordinal, out = {}, 0, 0, []
    for at, data in cur:
        b = _Bytes(data)
        kind = b.take("c")
        if kind == b"R":
            oid, schema, name, _, count = b.take("i"), b.text(), b.text(), b.take("c"), b.take("h")
            columns = []
            for _ in range(count):
                b.take("b")
                columns.append(b.text())
                b.take("ii")
            relations[oid] = (f"{schema}.{name}", columns)
        elif kind == b"B":
            commit, ordinal = b.take("qqi")[0], 0
        elif kind == b"I":
            table, columns = relations[b.take("i")]
            b.take("c")
            ordinal += 1
            out.append(Change(lsn(at), commit, ordinal, table, dict(zip(columns, b.tuple()))))
        elif kind == b"M":
            transactional, _, prefix = b.take("b"), b.take("q"), b.text()
            ordinal += transactional
            out.append(Change(lsn(at), commit, ordinal, None, (bool(transactional), prefix, b.piece())))
        else:
            ordinal += kind in b"UDT"
    return out
