find_package(Threads REQUIRED) # cdc/opening.c
set(PLUGIN_LIBRARIES cr_db cr_schema PkgConfig::JANSSON Threads::Threads)
