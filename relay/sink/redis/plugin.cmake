pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
set(PLUGIN_LIBRARIES cr_sink_kit PkgConfig::HIREDIS)
set(PLUGIN_HEADERS hiredis/hiredis.h)
