/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-callback-handle.h"
#include "kcp-link-private.h"

G_BEGIN_DECLS

KcpCallbackHandle *kcp_callback_handle_new (KcpLink    *link,
                                            const char *actor_name);

G_END_DECLS
