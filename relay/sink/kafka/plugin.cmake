pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)
set(PLUGIN_LIBRARIES cr_sink_kit PkgConfig::RDKAFKA)
set(PLUGIN_HEADERS librdkafka/rdkafka.h)
