/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kcp-launch-plan-private.h"
#include "kcp-launcher.h"

G_BEGIN_DECLS

/* What it was told so far; the setters that are not in kcp-launcher.c write it. Borrowed. */
KcpLaunchSettings *kcp_launcher_settings (KcpLauncher *self);

G_END_DECLS
