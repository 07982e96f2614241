/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-call-private.h"
#include "kcp-stream.h"

G_BEGIN_DECLS

/* Takes @call. */
KcpStream *kcp_stream_new (KcpCall *call);

G_END_DECLS
