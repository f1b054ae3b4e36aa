/*
 * Keys of nodes, join tokens, and the access file of a head. The conventions are those of molink.h.
 * A key is text of 64 hexadecimal characters. .github/SECURITY.md says what keys protect.
 */
#ifndef MOLINK_KEYS_H
#define MOLINK_KEYS_H

#include "molink.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOLINK_KEY_SIZE 65 /* bytes of a key as text, with the NUL */

/** Makes a key pair and writes it to a new file that only its owner may read. Writes the public key
 *  to out_key, [MOLINK_KEY_SIZE]. Errors: FAILED_PRECONDITION (the file exists), UNAVAILABLE. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_key_create(const char* path, char* out_key);
/** Reads the public key of a key file. Errors: NOT_FOUND, DATA_LOSS, FAILED_PRECONDITION (others
 *  than the owner may read the file). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_key_read(const char* path, char* out_key);

/** Permits a key in an access file, which is made if it does not exist. name: one word for people,
 *  or NULL. Errors: INVALID_ARGUMENT, FAILED_PRECONDITION (the key is there already), DATA_LOSS (it
 *  is not an access file), UNAVAILABLE. */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_access_allow(const char* access_file,
                                                              const char* key, const char* name);
/** Removes a key, or the pass of a token. A node with this key loses its link within a second.
 *  Errors: NOT_FOUND, and those of molink_access_allow(). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_access_revoke(const char* access_file,
                                                               const char* key);
/** Makes a join token for the head whose key pair is in key_file and which workers reach at
 *  address. It is valid for valid_s seconds, and for one machine unless reusable is not 0. Writes
 *  the token with a NUL if capacity suffices, and its size without the NUL to *out_size; a token
 *  that does not fit is not permitted, and the error is RESOURCE_EXHAUSTED. About 220 bytes and
 *  twice the length of the address suffice. Errors: those of molink_key_read() and
 *  molink_access_allow(). */
MOLINK_CAPI MOLINK_MUST_USE molink_error* molink_access_token(
    const char* access_file, const char* key_file, const char* address, int64_t valid_s,
    int32_t reusable, char* token, size_t capacity, size_t* out_size);

#ifdef __cplusplus
}
#endif
#endif
