/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-actor.h"
#include "kcp-process-private.h"

G_BEGIN_DECLS

/* The handle on a process that is ready. */
KcpActor   *kcp_actor_new         (KcpProcess *process);
KcpProcess *kcp_actor_get_process (KcpActor   *self);
KcpLink    *kcp_actor_get_link    (KcpActor   *self);

G_END_DECLS
