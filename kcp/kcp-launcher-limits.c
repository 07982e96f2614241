/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-launcher-private.h"

/* How much of the machine a child may have. The core dump has two names: a switch for most, a
 * limit among the others for those who want a number. Both are one setting, the last word counts. */

/**
 * kcp_launcher_set_core_dumps:
 * @self: a launcher
 * @allowed: whether a crash may leave a core dump
 *
 * By default it may not: writing one delays the news of the crash by the time it takes. The same
 * as to set %KCP_RESOURCE_CORE_SIZE to %KCP_RESOURCE_UNLIMITED, or to unset it.
 */
void
kcp_launcher_set_core_dumps (KcpLauncher *self,
                             gboolean     allowed)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  if (allowed)
    kcp_launcher_set_resource_limit (self, KCP_RESOURCE_CORE_SIZE, KCP_RESOURCE_UNLIMITED);
  else
    kcp_launcher_unset_resource_limit (self, KCP_RESOURCE_CORE_SIZE);
}

/**
 * kcp_launcher_set_resource_limit:
 * @self: a launcher
 * @resource: what of
 * @limit: how much, in the unit of @resource; %KCP_RESOURCE_UNLIMITED for as much as it can get
 *
 * Limits what the child may use. The limit is in force before the plugin's file is opened, for
 * soft and hard limit alike, so that the plugin cannot lift it; it holds for each process that
 * the plugin starts, for each on its own. One that cannot be set is an error of the spawn:
 * %KCP_ERROR_INVALID_ARGUMENT, which names it.
 *
 * A child that runs out of CPU time is ended by SIGXCPU, and by SIGKILL two seconds of CPU time
 * later if it holds out against that; one that makes a file too large by SIGXFSZ, unless it
 * handles it. Without memory a GLib program ends itself. The exit report names the limit where
 * that can be known, see kcp_exit_report_get_hint(). Descriptors that a message brings count as
 * open files: a child that has no number left for them loses its connection.
 *
 * Under a wrapper command the child has them, the wrapper itself has not.
 */
void
kcp_launcher_set_resource_limit (KcpLauncher *self,
                                 KcpResource  resource,
                                 guint64      limit)
{
  KcpResourceLimits *limits;

  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail ((guint) resource < KCP_N_RESOURCES);

  limits = &kcp_launcher_settings (self)->limits;
  limits->set |= 1u << resource;
  limits->values[resource] = limit;
}

/**
 * kcp_launcher_unset_resource_limit:
 * @self: a launcher
 * @resource: what of
 *
 * Goes back to the default: the limit that the host has, and no core dumps.
 */
void
kcp_launcher_unset_resource_limit (KcpLauncher *self,
                                   KcpResource  resource)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));
  g_return_if_fail ((guint) resource < KCP_N_RESOURCES);

  kcp_launcher_settings (self)->limits.set &= ~(1u << resource);
}

/**
 * kcp_launcher_set_nice:
 * @self: a launcher
 * @nice: from -20 (first) to 19 (last)
 *
 * Sets how the child stands back when the machine is busy; by default as the host does. Less
 * than the host's own needs a privilege. A number out of the range is an error of the spawn.
 */
void
kcp_launcher_set_nice (KcpLauncher *self,
                       int          nice)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  kcp_launcher_settings (self)->limits.has_nice = TRUE;
  kcp_launcher_settings (self)->limits.nice = nice;
}

/**
 * kcp_launcher_set_oom_score_adjustment:
 * @self: a launcher
 * @adjustment: from -1000 (never) to 1000 (first of all)
 *
 * Sets whether the kernel should take this child when it is out of memory (proc(5),
 * `oom_score_adj`); by default as it would take the host. Less than the host's own needs a
 * privilege. A number out of the range is an error of the spawn.
 */
void
kcp_launcher_set_oom_score_adjustment (KcpLauncher *self,
                                       int          adjustment)
{
  g_return_if_fail (KCP_IS_LAUNCHER (self));

  kcp_launcher_settings (self)->limits.has_oom_score = TRUE;
  kcp_launcher_settings (self)->limits.oom_score = adjustment;
}
