find_package(CURL 7.87 REQUIRED)
set(PLUGIN_LIBRARIES cr_sink_kit CURL::libcurl OpenSSL::Crypto)
set(PLUGIN_HEADERS curl/curl.h)
