/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-error.h"

G_BEGIN_DECLS

/* The domain under which our own codes travel; every other domain travels under its quark's text. */
#define KCP_ERROR_WIRE_DOMAIN "kcp"

/* An error of our domain that also carries what the other side said, word for word.
 * @remote_domain is only ever kept as text: a peer must not be able to make quarks. */
GError *kcp_error_new_with_remote (KcpError    code,
                                   const char *message,
                                   const char *remote_domain,
                                   int         remote_code,
                                   const char *remote_message);

/* What a peer's error becomes here. @code_name is set for our own codes, else @code counts.
 * A known domain is rebuilt; anything else, a code of ours that only this side may raise and a
 * cancellation we did not ask for become KCP_ERROR_HANDLER_FAILED, with nothing lost. */
GError *kcp_error_from_peer       (const char *domain,
                                   const char *code_name,
                                   int         code,
                                   const char *message);

G_END_DECLS
