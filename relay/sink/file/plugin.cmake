find_package(CURL REQUIRED)
set(PLUGIN_LIBRARIES cr_pack OpenSSL::Crypto CURL::libcurl)
set(PLUGIN_HEADERS curl/curl.h)
