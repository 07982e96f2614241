/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a host includes. Plugins include <kcp-plugin.h> instead. */

#include "kcp-actor.h"
#include "kcp-callable.h"
#include "kcp-callback-handler.h"
#include "kcp-callback-router.h"
#include "kcp-error.h"
#include "kcp-exit-report.h"
#include "kcp-invocation.h"
#include "kcp-json.h"
#include "kcp-launcher.h"
#include "kcp-manifest.h"
#include "kcp-message.h"
#include "kcp-pool.h"
#include "kcp-stream.h"
#include "kcp-supervisor.h"
#include "kcp-trace-context.h"
#include "kcp-types.h"
#include "kcp-version.h"
