// Certificate and key of the server. A key with a password is refused, because OpenSSL would ask
// for it on the terminal and block the start of a service.
#include "http/tls_files.h"

#include <openssl/ssl.h>

#include <fmt/format.h>

namespace molink::examples {

Result<std::shared_ptr<boost::asio::ssl::context>> load_tls(const std::string& certificate_file,
                                                            const std::string& key_file) {
    namespace ssl = boost::asio::ssl;
    auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
    SSL_CTX* native = context->native_handle();
    ::SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    ::SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    ::SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);  // idle connections hold no buffers
    boost::system::error_code error;
    const auto failed = [&](const char* flag, const std::string& file) {
        return Status(StatusCode::invalid_argument,
                      fmt::format("{} {}: {}", flag, file, error.message()));
    };
    context->set_password_callback(
        [](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
    if (error) return failed("--tls-key", key_file);
    context->use_certificate_chain_file(certificate_file, error);
    if (error) return failed("--tls-cert", certificate_file);
    context->use_private_key_file(key_file, ssl::context::pem, error);
    if (error) return failed("--tls-key", key_file);
    if (::SSL_CTX_check_private_key(native) != 1) {
        return Status(StatusCode::invalid_argument,
                      fmt::format("--tls-key {}: it is not the key of the certificate {}", key_file,
                                  certificate_file));
    }
    return context;
}

}  // namespace molink::examples
