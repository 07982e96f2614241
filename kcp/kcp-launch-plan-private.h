/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-callback-handler.h"

G_BEGIN_DECLS

/* What a launcher has decided, as one child takes it along: later changes of the launcher do not
 * reach it. Owned by the child's process object. */
typedef struct
{
  char *plugin;                    /* absolute */
  char *name;
  char *stub;
  char **wrapper;                  /* NULL: none */
  char **environ;                  /* without what the spawn adds */
  char *directory;                 /* NULL: the host's own */
  GPtrArray *config;               /* key, value, key, value, … */
  KcpCallbackHandler *handler;
  GLogLevelFlags log_level;
  gboolean core_dumps;
  gsize frame_limit;
  int start_timeout, call_timeout;
  int drain_timeout, term_timeout, kill_timeout;
} KcpLaunchPlan;

void    kcp_launch_plan_free      (KcpLaunchPlan      *plan);

/* The environment of a child: the allow-list of @base (or all of it), then what was set and
 * unset, which wins. The variables of the handshake are never passed on. */
char  **kcp_environment_build     (char              **base,
                                   gboolean            inherit_all,
                                   GHashTable         *changes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpLaunchPlan, kcp_launch_plan_free)

G_END_DECLS
