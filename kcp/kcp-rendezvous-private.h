/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-link-private.h"

G_BEGIN_DECLS

/* Where a host meets its child: two listening sockets and whoever comes to them. Several may be
 * shaking hands at once, each with a second to speak, so that a stranger can neither get in nor
 * keep the child out. Over when both sockets are joined, or when the child itself speaks wrongly. */
typedef struct _KcpRendezvous KcpRendezvous;

typedef struct
{
  /* Both are joined; takes what it wants of the sockets. The last thing that is told. */
  void (*joined) (gpointer owner, KcpLinkSocket *request, KcpLinkSocket *callback,
                     const KcpTerms *terms);
  /* It cannot succeed any more. The last thing that is told. */
  void (*failed) (gpointer owner, const GError *error);
  /* The child has connected to both, the rest of the handshake is under way. */
  void (*connected) (gpointer owner);
} KcpRendezvousOps;

/* @terms: what this side offers; only its own half counts. */
KcpRendezvous *kcp_rendezvous_new          (const KcpTerms          *terms,
                                            const KcpRendezvousOps  *ops,
                                            gpointer                 owner,
                                            GError                 **error);
void           kcp_rendezvous_free         (KcpRendezvous           *self);

const char    *kcp_rendezvous_get_path     (KcpRendezvous           *self,
                                            KcpSocketRole            role);
const char    *kcp_rendezvous_get_token    (KcpRendezvous           *self);

/* Begins. @pid: only this process is let in; 0: any of this user that knows the token, which is
 * what a wrapper command needs. */
void           kcp_rendezvous_attach       (KcpRendezvous           *self,
                                            int                      pid,
                                            GMainContext            *context);

/* The child has died. Takes in what it has sent before that, which may be what it died of. May end
 * in one of the ops, which free it. */
void           kcp_rendezvous_drain        (KcpRendezvous           *self);

/* Which step is missing, for people. */
const char    *kcp_rendezvous_get_missing  (KcpRendezvous           *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpRendezvous, kcp_rendezvous_free)

G_END_DECLS
