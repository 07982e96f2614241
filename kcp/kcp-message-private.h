/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-message.h"

G_BEGIN_DECLS

/* Takes everything but @body, of which it takes a reference. */
KcpMessage *kcp_message_new_received (char            *path,
                                      GBytes          *body,
                                      char            *content_type,
                                      KcpTraceContext *trace,
                                      char            *baggage);

KcpMessage *kcp_message_copy         (KcpMessage      *self);

G_END_DECLS
