"""The few calls of librdkafka that the tests need, through ctypes: administration, offsets, and an exact reader.

kcat cannot tell two headers from one that holds a comma, and Kafka's own tools take two seconds a call.
"""
import collections
import ctypes as C
import time

Record = collections.namedtuple("Record", "topic partition offset key value headers timestamp")
Record.__doc__ = "key and value are bytes or None; headers a list of (str, bytes or None); timestamp in ms."

_PRODUCER, _CONSUMER = 0, 1
_EOF = -191
_P = C.c_void_p


class _Message(C.Structure):
    _fields_ = [("err", C.c_int), ("rkt", _P), ("partition", C.c_int32), ("payload", _P), ("len", C.c_size_t), ("key", _P),
                ("key_len", C.c_size_t), ("offset", C.c_int64), ("private", _P)]


_lib = C.CDLL("librdkafka.so.1")


def _f(name, result, *args):
    f = getattr(_lib, "rd_kafka_" + name)
    f.restype, f.argtypes = result, args
    return f


_conf_new = _f("conf_new", _P)
_conf_set = _f("conf_set", C.c_int, _P, C.c_char_p, C.c_char_p, C.c_char_p, C.c_size_t)
_conf_destroy = _f("conf_destroy", None, _P)
_new = _f("new", _P, C.c_int, _P, C.c_char_p, C.c_size_t)
_destroy = _f("destroy", None, _P)
_err2str = _f("err2str", C.c_char_p, C.c_int)
_topic_new = _f("topic_new", _P, _P, C.c_char_p, _P)
_topic_destroy = _f("topic_destroy", None, _P)
_topic_name = _f("topic_name", C.c_char_p, _P)
_watermarks = _f("query_watermark_offsets", C.c_int, _P, C.c_char_p, C.c_int32, C.POINTER(C.c_int64), C.POINTER(C.c_int64), C.c_int)
_queue_new = _f("queue_new", _P, _P)
_queue_destroy = _f("queue_destroy", None, _P)
_queue_poll = _f("queue_poll", _P, _P, C.c_int)
_consume_start = _f("consume_start_queue", C.c_int, _P, C.c_int32, C.c_int64, _P)
_consume_stop = _f("consume_stop", C.c_int, _P, C.c_int32)
_consume_batch = _f("consume_batch_queue", C.c_ssize_t, _P, C.c_int, C.POINTER(C.POINTER(_Message)), C.c_size_t)
_message_destroy = _f("message_destroy", None, C.POINTER(_Message))
_message_timestamp = _f("message_timestamp", C.c_int64, C.POINTER(_Message), C.POINTER(C.c_int))
_message_headers = _f("message_headers", C.c_int, C.POINTER(_Message), C.POINTER(_P))
_message_errstr = _f("message_errstr", C.c_char_p, C.POINTER(_Message))
_header_get_all = _f("header_get_all", C.c_int, _P, C.c_size_t, C.POINTER(C.c_char_p), C.POINTER(_P), C.POINTER(C.c_size_t))
_event_error = _f("event_error", C.c_int, _P)
_event_error_string = _f("event_error_string", C.c_char_p, _P)
_event_destroy = _f("event_destroy", None, _P)
_options_new = _f("AdminOptions_new", _P, _P, C.c_int)
_options_destroy = _f("AdminOptions_destroy", None, _P)
_options_timeout = _f("AdminOptions_set_operation_timeout", C.c_int, _P, C.c_int, C.c_char_p, C.c_size_t)
_topic_result_error = _f("topic_result_error", C.c_int, _P)
_topic_result_string = _f("topic_result_error_string", C.c_char_p, _P)
_topic_result_name = _f("topic_result_name", C.c_char_p, _P)
_topic_results = {w: _f(f"{w}_result_topics", C.POINTER(_P), _P, C.POINTER(C.c_size_t))
                  for w in ("CreateTopics", "DeleteTopics", "CreatePartitions")}
_event_result = {w: _f(f"event_{w}_result", _P, _P) for w in (*_topic_results, "AlterConfigs", "DeleteRecords")}
_admin = {w: _f(w, None, _P, C.POINTER(_P), C.c_size_t, _P, _P) for w in _event_result}
_NewTopic = _f("NewTopic_new", _P, C.c_char_p, C.c_int, C.c_int, C.c_char_p, C.c_size_t)
_NewTopic_config = _f("NewTopic_set_config", C.c_int, _P, C.c_char_p, C.c_char_p)
_NewTopic_destroy = _f("NewTopic_destroy", None, _P)
_DeleteTopic = _f("DeleteTopic_new", _P, C.c_char_p)
_DeleteTopic_destroy = _f("DeleteTopic_destroy", None, _P)
_NewPartitions = _f("NewPartitions_new", _P, C.c_char_p, C.c_size_t, C.c_char_p, C.c_size_t)
_NewPartitions_destroy = _f("NewPartitions_destroy", None, _P)
_DeleteRecords = _f("DeleteRecords_new", _P, _P)
_DeleteRecords_destroy = _f("DeleteRecords_destroy", None, _P)
_list_new = _f("topic_partition_list_new", _P, C.c_int)
_list_add = _f("topic_partition_list_add", _P, _P, C.c_char_p, C.c_int32)
_list_set_offset = _f("topic_partition_list_set_offset", C.c_int, _P, C.c_char_p, C.c_int32, C.c_int64)
_list_destroy = _f("topic_partition_list_destroy", None, _P)
_Resource = _f("ConfigResource_new", _P, C.c_int, C.c_char_p)
_Resource_config = _f("ConfigResource_set_config", C.c_int, _P, C.c_char_p, C.c_char_p)
_Resource_destroy = _f("ConfigResource_destroy", None, _P)
_Resource_error = _f("ConfigResource_error", C.c_int, _P)
_Resource_error_string = _f("ConfigResource_error_string", C.c_char_p, _P)
_AlterConfigs_resources = _f("AlterConfigs_result_resources", C.POINTER(_P), _P, C.POINTER(C.c_size_t))


class _BrokerMeta(C.Structure):
    _fields_ = [("id", C.c_int32), ("host", C.c_char_p), ("port", C.c_int)]


class _PartitionMeta(C.Structure):
    _fields_ = [("id", C.c_int32), ("err", C.c_int), ("leader", C.c_int32), ("replica_cnt", C.c_int), ("replicas", _P),
                ("isr_cnt", C.c_int), ("isrs", _P)]


class _TopicMeta(C.Structure):
    _fields_ = [("topic", C.c_char_p), ("partition_cnt", C.c_int), ("partitions", C.POINTER(_PartitionMeta)), ("err", C.c_int)]


class _Metadata(C.Structure):
    _fields_ = [("broker_cnt", C.c_int), ("brokers", C.POINTER(_BrokerMeta)), ("topic_cnt", C.c_int), ("topics", C.POINTER(_TopicMeta)),
                ("orig_broker_id", C.c_int32), ("orig_broker_name", C.c_char_p)]


class _Partition(C.Structure):
    _fields_ = [("topic", C.c_char_p), ("partition", C.c_int32), ("offset", C.c_int64), ("metadata", _P), ("metadata_size", C.c_size_t),
                ("opaque", _P), ("err", C.c_int), ("own", _P)]


class _PartitionList(C.Structure):
    _fields_ = [("cnt", C.c_int), ("size", C.c_int), ("elems", C.POINTER(_Partition))]


_committed = _f("committed", C.c_int, _P, _P, C.c_int)
_metadata = _f("metadata", C.c_int, _P, C.c_int, _P, C.POINTER(C.POINTER(_Metadata)), C.c_int)
_metadata_destroy = _f("metadata_destroy", None, C.POINTER(_Metadata))


class Error(Exception):
    """What librdkafka or the broker refused."""


class NoAnswer(Error):
    """Nobody said yes or no in time."""


PATIENCE = 180  # seconds: for a broker that is slow, and for one just killed or frozen, whose topics have no leader for a while
_NO_ANSWER = (-195, -192, -185, 7)  # transport failure, message timed out, timed out, request timed out


def _str(code):
    return _err2str(code).decode()


def _patiently(what, ask, seconds):
    """Asks until it is answered, at least once."""
    end = time.monotonic() + seconds
    while e := ask():
        if time.monotonic() > end:
            raise NoAnswer(f"{what}: {_str(e)}")
        time.sleep(.1)


class Client:
    """One librdkafka instance, without the default for any property given."""

    def __init__(self, bootstrap, consumer=False, **props):
        conf, err = _conf_new(), C.create_string_buffer(512)
        defaults = {"bootstrap.servers": bootstrap, "log_level": "0"}
        for k, v in {**defaults, **props}.items():
            if _conf_set(conf, k.encode(), str(v).encode(), err, len(err)) != 0:
                _conf_destroy(conf)
                raise Error(err.value.decode())
        self.bootstrap = bootstrap
        self.rk = _new(_CONSUMER if consumer else _PRODUCER, conf, err, len(err))
        if not self.rk:
            raise Error(err.value.decode())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        _destroy(self.rk)

    def partitions(self, timeout=10, patience=PATIENCE):
        """{topic: number of partitions} of every topic there is. timeout is for one try, patience for all of them."""
        md = C.POINTER(_Metadata)()
        _patiently("metadata", lambda: _metadata(self.rk, 1, None, C.byref(md), int(timeout * 1000)), patience)
        m = md.contents
        out = {m.topics[i].topic.decode(): m.topics[i].partition_cnt for i in range(m.topic_cnt) if not m.topics[i].err}
        _metadata_destroy(md)
        return out

    def watermarks(self, topic, partition, timeout=10):
        lo, hi = C.c_int64(), C.c_int64()

        def ask(client):
            return _watermarks(client.rk, topic.encode(), partition, C.byref(lo), C.byref(hi), int(timeout * 1000))

        def ask_anew():
            """An instance that has seen the topic without leaders may keep saying "Unknown partition" when there are some again."""
            with Client(self.bootstrap) as fresh:
                return ask(fresh)
        if ask(self):
            _patiently(f"offsets of {topic} {partition}", ask_anew, PATIENCE)
        return lo.value, hi.value

    def admin(self, what, objects, destroy, timeout=60):
        """Sends one admin request and raises Error when it or any part of it failed."""
        queue, opts, err = _queue_new(self.rk), _options_new(self.rk, 0), C.create_string_buffer(512)
        if what != "AlterConfigs":  # the broker answers when it is done, not when it has begun
            _options_timeout(opts, int(timeout * 1000), err, len(err))
        array = (_P * len(objects))(*objects)
        _admin[what](self.rk, array, len(objects), opts, queue)
        for o in objects:
            destroy(o)
        event = _queue_poll(queue, int(timeout * 1000) + 5000)
        _options_destroy(opts)
        _queue_destroy(queue)
        if not event:
            raise NoAnswer(what)
        bad = []  # (code, text)
        if _event_error(event):
            bad.append((_event_error(event), _event_error_string(event).decode()))
        else:
            n, result = C.c_size_t(), _event_result[what](event)
            if what == "AlterConfigs":
                all_ = _AlterConfigs_resources(result, C.byref(n))
                bad = [(_Resource_error(all_[i]), _Resource_error_string(all_[i]).decode()) for i in range(n.value) if _Resource_error(all_[i])]
            elif what in _topic_results:
                all_ = _topic_results[what](result, C.byref(n))
                bad = [(_topic_result_error(all_[i]), f"{_topic_result_name(all_[i]).decode()}: {(_topic_result_string(all_[i]) or b'?').decode()}")
                       for i in range(n.value) if _topic_result_error(all_[i])]
        _event_destroy(event)
        if bad:
            kind = NoAnswer if all(code in _NO_ANSWER for code, _ in bad) else Error
            raise kind(f"{what}: " + "; ".join(text for _, text in bad))

    def create_topics(self, topics):
        """{name: (partitions, {config: value})}"""
        made, err = [], C.create_string_buffer(512)
        for name, (partitions, config) in topics.items():
            t = _NewTopic(name.encode(), partitions, 1, err, len(err))
            if not t:
                raise Error(err.value.decode())
            for k, v in config.items():
                _NewTopic_config(t, k.encode(), str(v).encode())
            made.append(t)
        self.admin("CreateTopics", made, _NewTopic_destroy)

    def delete_topics(self, names):
        self.admin("DeleteTopics", [_DeleteTopic(n.encode()) for n in names], _DeleteTopic_destroy)

    def create_partitions(self, topic, total):
        err = C.create_string_buffer(512)
        p = _NewPartitions(topic.encode(), total, err, len(err))
        if not p:
            raise Error(err.value.decode())
        self.admin("CreatePartitions", [p], _NewPartitions_destroy)

    def committed(self, topic, partitions):
        """{partition: offset} of this client's group; without those that have none."""
        parts = _list_new(partitions)
        for p in range(partitions):
            _list_add(parts, topic.encode(), p)
        try:
            _patiently(f"committed offsets of {topic}", lambda: _committed(self.rk, parts, 5000), PATIENCE)
            found = C.cast(parts, C.POINTER(_PartitionList)).contents
            return {found.elems[i].partition: found.elems[i].offset for i in range(found.cnt) if found.elems[i].offset >= 0}
        finally:
            _list_destroy(parts)

    def delete_records(self, topic, partition, before):
        parts = _list_new(1)
        _list_add(parts, topic.encode(), partition)
        _list_set_offset(parts, topic.encode(), partition, before)
        request = _DeleteRecords(parts)
        _list_destroy(parts)
        self.admin("DeleteRecords", [request], _DeleteRecords_destroy)

    def set_config(self, topic, config):
        r = _Resource(2, topic.encode())
        for k, v in config.items():
            _Resource_config(r, k.encode(), str(v).encode())
        self.admin("AlterConfigs", [r], _Resource_destroy)


def _record(m):
    msg = m.contents
    headers, list_ = [], _P()
    if _message_headers(m, C.byref(list_)) == 0:
        name, value, size = C.c_char_p(), _P(), C.c_size_t()
        while _header_get_all(list_, len(headers), C.byref(name), C.byref(value), C.byref(size)) == 0:
            headers.append((name.value.decode(), None if value.value is None else C.string_at(value, size.value)))
    return Record(_topic_name(msg.rkt).decode(), msg.partition, msg.offset,
                  None if msg.key is None else C.string_at(msg.key, msg.key_len),
                  None if msg.payload is None else C.string_at(msg.payload, msg.len),
                  headers, _message_timestamp(m, None))


def consume_all(bootstrap, topics, isolation="read_uncommitted", timeout=180):
    """Every record of the topics up to their ends, sorted by topic, partition and offset."""
    out = []
    with Client(bootstrap, consumer=True, **{"enable.partition.eof": "true", "isolation.level": isolation, "fetch.wait.max.ms": "10",
                                             "check.crcs": "true", "auto.offset.reset": "error"}) as c:
        have = c.partitions()
        for t in topics:
            if t not in have:
                raise Error(f"no topic {t}")
        queue, handles = _queue_new(c.rk), {t: _topic_new(c.rk, t.encode(), None) for t in topics}
        todo = {(t, p) for t in topics for p in range(have[t])}
        started = sorted(todo)
        try:
            for t, p in started:
                if _consume_start(handles[t], p, c.watermarks(t, p)[0], queue):
                    raise Error(f"cannot read {t} {p}")
            batch, deadline = (C.POINTER(_Message) * 1000)(), time.monotonic() + timeout
            while todo:
                if time.monotonic() > deadline:
                    raise Error(f"not read to the end within {timeout} s: {sorted(todo)}")
                n = _consume_batch(queue, 20, batch, len(batch))
                bad = None
                for i in range(n):
                    msg = batch[i].contents
                    if msg.err == 0:
                        out.append(_record(batch[i]))
                    elif msg.err == _EOF:
                        todo.discard((_topic_name(msg.rkt).decode(), msg.partition))
                    else:
                        bad = (_message_errstr(batch[i]) or b"?").decode()
                    _message_destroy(batch[i])
                if bad:
                    raise Error(bad)
        finally:
            for t, p in started:
                _consume_stop(handles[t], p)
            for h in handles.values():
                _topic_destroy(h)
            _queue_destroy(queue)
    return sorted(out, key=lambda r: r[:3])
