/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-call-private.h"
#include "kcp-stream.h"

G_BEGIN_DECLS

/* Takes @call. */
KcpStream *kcp_stream_new (KcpCall *call);

/* For who passes a stream on: the call behind it, and one round of a blocking wait. */
KcpCall   *kcp_stream_get_call (KcpStream  *self);
void       kcp_stream_wait     (KcpStream  *self);

G_END_DECLS
