/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-link-private.h"
#include "kcp-resource-limits-private.h"

G_BEGIN_DECLS

/* What the host tells the stub in the environment; see PROTOCOL.md, "Environment". */
typedef struct
{
  char *request_path;
  char *callback_path;
  char *actor_name;
  char *token;
} KcpStubEnvironment;

/* The whole program kcp-child: returns its exit status. Exported for it, and for it alone. */
KCP_AVAILABLE_IN_ALL
int      kcp_stub_main           (int                  argc,
                                  char               **argv);

/* Process group, signals, descriptors, core limit: first thing after exec. */
void     kcp_stub_isolate        (void);
void     kcp_stub_allow_cores    (void);
/* Before any code of the plugin. FALSE with KCP_ERROR_INVALID_ARGUMENT: one cannot be had. */
gboolean kcp_stub_apply_limits   (const KcpResourceLimits *limits,
                                  GError             **error);
gboolean kcp_stub_take_environment (KcpStubEnvironment *environment);
void     kcp_stub_environment_clear (KcpStubEnvironment *environment);

/* Connects and shakes hands on one socket. NULL with an error. */
gboolean kcp_stub_connect        (KcpSocketRole        role,
                                  const char          *path,
                                  const char          *token,
                                  KcpLinkSocket       *socket,
                                  KcpTerms            *terms,
                                  GError             **error);

/* The plugin's log goes to the host from now on, by @link; NULL: no more. */
void     kcp_stub_log_start      (void);
void     kcp_stub_log_set_link   (KcpLink             *link);
void     kcp_stub_log_set_level  (GLogLevelFlags       level);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KcpStubEnvironment, kcp_stub_environment_clear)

G_END_DECLS
