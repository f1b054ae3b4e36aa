#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

#include <molink/status.h>

namespace molink::examples {

/// Reads a certificate (PEM, the server's first, then those that lead to the root) and its private
/// key (PEM, without a password). TLS 1.2 and 1.3. Errors: invalid_argument naming the file and
/// what is wrong.
Result<std::shared_ptr<boost::asio::ssl::context>> load_tls(const std::string& certificate_file,
                                                            const std::string& key_file);

}  // namespace molink::examples
