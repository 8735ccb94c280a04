# Sourced by every lab script. All settings come from the environment; these are the defaults.
LAB_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LAB_HOME
export LAB_DIR=${LAB_DIR:-$LAB_HOME/.lab}            # everything built or written goes here
export PGBIN=${PGBIN:-$(pg_config --bindir)}         # the PostgreSQL server under test
export PGHOST=${PGHOST:-127.0.0.1} PGPORT=${PGPORT:-15432} PGUSER=${PGUSER:-postgres} PGDATABASE=${PGDATABASE:-lab}
export BROKERS=${BROKERS:-127.0.0.1:19092} TOPIC=${TOPIC:-lab.order} PARTITIONS=${PARTITIONS:-4}
export PATH=$LAB_DIR/bin:$PATH
mkdir -p "$LAB_DIR"
