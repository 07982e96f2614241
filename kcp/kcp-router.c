/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kcp-router-private.h"

#include "kcp-error.h"
#include "kcp-message-codec-private.h"

/* Counted, because a handler may remove its own route. */
typedef struct
{
  KcpRouteFunc func;
  gpointer data;
  GDestroyNotify destroy;
} Route;

struct _KcpRouter
{
  GHashTable *routes;   /* path → Route, both owned */
  Route *fallback;
};

static void
clear_route (gpointer data)
{
  Route *route = data;

  if (route->destroy)
    route->destroy (route->data);
}

static void
unref_route (gpointer route)
{
  g_rc_box_release_full (route, clear_route);
}

static Route *
new_route (KcpRouteFunc   func,
           gpointer       data,
           GDestroyNotify destroy)
{
  Route *route = g_rc_box_new (Route);

  *route = (Route) { func, data, destroy };
  return route;
}

KcpRouter *
kcp_router_new (void)
{
  KcpRouter *self = g_new0 (KcpRouter, 1);

  self->routes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, unref_route);
  return self;
}

void
kcp_router_free (KcpRouter *self)
{
  g_hash_table_unref (self->routes);
  g_clear_pointer (&self->fallback, unref_route);
  g_free (self);
}

gboolean
kcp_router_add (KcpRouter       *self,
                const char      *path,
                KcpRouteFunc     func,
                gpointer         data,
                GDestroyNotify   destroy,
                GError         **error)
{
  if (!kcp_codec_path_is_valid (path, strlen (path)))
    {
      g_autofree char *shown = g_strescape (path, NULL);

      g_set_error (error, KCP_ERROR, KCP_ERROR_INVALID_ARGUMENT,
                   "path “%.80s” is not 1 to %d bytes of UTF-8 without control characters",
                   shown, KCP_FRAME_PATH_LIMIT);
      return FALSE;
    }

  if (g_hash_table_contains (self->routes, path))
    {
      g_set_error (error, KCP_ERROR, KCP_ERROR_DUPLICATE_PATH,
                   "path “%s” has a handler already", path);
      return FALSE;
    }

  g_hash_table_insert (self->routes, g_strdup (path), new_route (func, data, destroy));
  return TRUE;
}

gboolean
kcp_router_remove (KcpRouter  *self,
                   const char *path)
{
  return g_hash_table_remove (self->routes, path);
}

void
kcp_router_set_fallback (KcpRouter      *self,
                         KcpRouteFunc    func,
                         gpointer        data,
                         GDestroyNotify  destroy)
{
  g_clear_pointer (&self->fallback, unref_route);
  if (func)
    self->fallback = new_route (func, data, destroy);
}

void
kcp_router_route (KcpRouter     *self,
                  KcpInvocation *invocation)
{
  Route *route = g_hash_table_lookup (self->routes, kcp_invocation_get_path (invocation));

  if (route == NULL)
    route = self->fallback;

  if (route == NULL)
    {
      kcp_invocation_fail_printf (invocation, KCP_ERROR, KCP_ERROR_UNKNOWN_PATH,
                                  "nothing serves the path “%s”", kcp_invocation_get_path (invocation));
      return;
    }

  g_rc_box_acquire (route);
  route->func (invocation, route->data);
  unref_route (route);
}
