/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-invocation.h"

G_BEGIN_DECLS

/* Which function serves which path; the same on both sides. Not thread-safe. */
typedef struct _KcpRouter KcpRouter;

typedef void (*KcpRouteFunc) (KcpInvocation *invocation,
                              gpointer       data);

KcpRouter *kcp_router_new          (void);
void       kcp_router_free         (KcpRouter       *self);

/* FALSE with KCP_ERROR_DUPLICATE_PATH or KCP_ERROR_INVALID_ARGUMENT; @data is not taken then. */
gboolean   kcp_router_add          (KcpRouter       *self,
                                    const char      *path,
                                    KcpRouteFunc     func,
                                    gpointer         data,
                                    GDestroyNotify   destroy,
                                    GError         **error);
gboolean   kcp_router_remove       (KcpRouter       *self,
                                    const char      *path);
void       kcp_router_set_fallback (KcpRouter       *self,
                                    KcpRouteFunc     func,
                                    gpointer         data,
                                    GDestroyNotify   destroy);

/* Calls what serves the invocation's path, or answers that nothing does. */
void       kcp_router_route        (KcpRouter       *self,
                                    KcpInvocation   *invocation);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpRouter, kcp_router_free)

G_END_DECLS
