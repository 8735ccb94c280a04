pkg_check_modules(NATS REQUIRED IMPORTED_TARGET libnats)
set(PLUGIN_LIBRARIES cr_sink_kit PkgConfig::NATS)
set(PLUGIN_HEADERS nats/nats.h)
