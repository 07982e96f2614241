/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-launch-plan-private.h"

G_BEGIN_DECLS

/* A process that was started and is not reaped yet. */
typedef struct
{
  int pid;
  int pid_fd;        /* -1 where the kernel has none */
  int stdout_fd;
  int stderr_fd;
} KcpSpawned;

/* How a process ended. */
typedef struct
{
  gboolean unknown;       /* someone else has reaped it; all else is zero */
  gboolean signalled;
  gboolean core_dumped;
  int number;             /* exit code or signal */
  gint64 user_us, system_us;
  gint64 peak_bytes;
} KcpExitStatus;

gboolean kcp_spawn           (const KcpLaunchPlan *plan,
                              const char          *request_path,
                              const char          *callback_path,
                              const char          *token,
                              KcpSpawned          *spawned,
                              GError             **error);

/* Whether the process has ended, without reaping it. */
gboolean kcp_spawned_ended   (const KcpSpawned    *spawned);

/* Sends @signal to the process, and to its group once it leads one. Only before it is reaped:
 * until then its number cannot be anyone else's. */
void     kcp_spawned_signal  (const KcpSpawned    *spawned,
                              int                  signal_number);

/* Ends what is left of its group, reaps it, closes the pidfd. Only when it has ended. */
void     kcp_spawned_reap    (KcpSpawned          *spawned,
                              KcpExitStatus       *status);

G_END_DECLS
