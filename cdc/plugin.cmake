set(PLUGIN_LIBRARIES cr_db cr_schema PkgConfig::JANSSON)
