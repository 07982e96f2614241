/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-callback-handler.h"
#include "kcp-resource-limits-private.h"

G_BEGIN_DECLS

#define KCP_LAUNCH_CALL_TIMEOUT 60000
#define KCP_LAUNCH_SMALLEST_FRAME 4096

/* What a launcher was told, as it was told. */
typedef struct
{
  char *plugin;
  char *name;                      /* NULL: after the plugin */
  char *stub;                      /* NULL: the environment's, or the library's */
  char *directory;
  char **wrapper;
  GPtrArray *config;               /* key, value, key, value, … */
  GHashTable *environ;             /* name → value, or NULL: unset */
  gboolean inherit_environ;
  gboolean describe_only;
  KcpResourceLimits limits;
  KcpCallbackHandler *handler;     /* NULL: none is served */
  GLogLevelFlags log_level;
  gsize frame_limit;
  guint stream_items;
  gsize stream_bytes;
  guint max_in_flight, mailbox_calls;
  gsize mailbox_bytes;
  int start_timeout;               /* KCP_TIMEOUT_DEFAULT: by whether there is a wrapper */
  int call_timeout;
  int drain_timeout, term_timeout, kill_timeout;
} KcpLaunchSettings;

void    kcp_launch_settings_init  (KcpLaunchSettings  *self);
void    kcp_launch_settings_clear (KcpLaunchSettings  *self);

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
  gboolean describe_only;          /* neither configure nor start */
  GLogLevelFlags log_level;
  KcpResourceLimits limits;
  gsize frame_limit;
  guint stream_items;
  gsize stream_bytes;
  guint max_in_flight, mailbox_calls;
  gsize mailbox_bytes;
  int start_timeout, call_timeout;
  int drain_timeout, term_timeout, kill_timeout;
} KcpLaunchPlan;

/* Paths made absolute, defaults filled in, everything copied. NULL with
 * KCP_ERROR_INVALID_ARGUMENT: a text is not UTF-8, or a number is out of its range. */
KcpLaunchPlan *kcp_launch_plan_new (const KcpLaunchSettings  *settings,
                                    GError                  **error);
void    kcp_launch_plan_free      (KcpLaunchPlan      *plan);

/* The environment of a child: the allow-list of @base (or all of it), then what was set and
 * unset, which wins. The variables of the handshake are never passed on. */
char  **kcp_environment_build     (char              **base,
                                   gboolean            inherit_all,
                                   GHashTable         *changes);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (KcpLaunchPlan, kcp_launch_plan_free)

G_END_DECLS
