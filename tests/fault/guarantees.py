"""What a sink may promise under crashcheck: how it is configured for that, how it is read, and how many duplicates a judge lets pass."""
from sink_sides import SINKS
from support.relaying import MAX_IN_FLIGHT


class AtLeastOnce:
    """To a server: what was in flight at a crash may come again."""

    sinks = tuple(name for name, side in SINKS.items() if not side.commits_files)
    isolation = "read_uncommitted"
    points = ()  # fault points that only this guarantee has
    gives_up = False  # whether it makes a sink end a connection on which nobody answers, as sink_sides.py says it of sinks

    @staticmethod
    def sink(_name):
        """What the configuration of a trial's sink says besides."""
        return {}

    @staticmethod
    def duplicates(trial):
        """The most that can be explained."""
        return (trial.relaying.starts + trial.resent) * MAX_IN_FLIGHT


class ExactlyOnce(AtLeastOnce):
    """To Kafka, for a consumer that reads what is committed."""

    sinks = ("kafka",)
    isolation = "read_committed"
    gives_up = True  # a transaction and its producer have their time
    points = ("txn_after_commit", "txn_before_commit", "txn_before_position", "txn_between")

    @staticmethod
    def sink(name):
        return {"exactly_once": True, "transactional_id": name, "position_topic": f"{name}-position"}

    @staticmethod
    def duplicates(_trial):
        return 0


class OneFile(AtLeastOnce):
    """Each event is in exactly one batch file."""

    sinks = tuple(name for name, side in SINKS.items() if side.commits_files)
    isolation = None

    @staticmethod
    def duplicates(_trial):
        return 0


GUARANTEES = {"at_least_once": AtLeastOnce, "exactly_once": ExactlyOnce, "one_file": OneFile}
