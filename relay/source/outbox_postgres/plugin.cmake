set(PLUGIN_LIBRARIES cr_db cr_source_kit cr_schema)
