"""What becomes of every input member of every operation of API Gateway that is served."""

from __future__ import annotations

from eventrouter.api.registry import Applied, Entry, NotApplicable, Refused

_TESTS = "tests/adapters/test_http_operations.py::"
_REQUESTS = "tests/adapters/test_http_requests.py::"

_API = {"ApiId": Applied(_TESTS + "test_an_api_of_another_account_or_region_is_not_found")}
_INTEGRATION = {"IntegrationId": Applied(_TESTS + "test_an_integration_lives_from_its_creation_to_its_deletion")}
_ROUTE = {"RouteId": Applied(_TESTS + "test_a_route_lives_from_its_creation_to_its_deletion")}
_PAGES = Applied(_TESTS + "test_lists_come_in_pages")
_NAMED = Applied(_TESTS + "test_an_api_lives_from_its_creation_to_its_deletion")
_ONLY = Applied(_TESTS + "test_settings_with_one_possible_value_take_no_other")
_OTHERS = Applied(_TESTS + "test_integrations_of_other_kinds_are_refused")
_QUICK = Applied(_TESTS + "test_an_api_with_a_target_hands_everything_to_its_function")
_TAGS = Applied(_TESTS + "test_an_api_has_tags")
_KEY = Applied(_TESTS + "test_a_route_lives_from_its_creation_to_its_deletion")
_WEBSOCKET = Refused("it is about WebSocket APIs, which are not served")
_MAPPING = Refused("requests and answers are passed on as they are")
_AUTHORIZERS = Refused("there are no authorizers here")
_ROLE = NotApplicable("there are no roles: every API may invoke every function of its node")

_CORS: dict[str, Entry] = {
    f"CorsConfiguration.{name}": Refused("preflight requests are the routes' own business")
    for name in ("AllowCredentials", "AllowHeaders", "AllowMethods", "AllowOrigins", "ExposeHeaders", "MaxAge")
}
_API_SETTINGS: dict[str, Entry] = {
    "ApiKeySelectionExpression": _ONLY,
    **_CORS,
    "CredentialsArn": _ROLE,
    "Description": _NAMED,
    "DisableSchemaValidation": _WEBSOCKET,
    "DisableExecuteApiEndpoint": Refused("there are no other domain names"),
    "IpAddressType": _ONLY,
    "Name": _NAMED,
    "RouteSelectionExpression": _ONLY,
    "Version": _NAMED,
}
_INTEGRATION_SETTINGS: dict[str, Entry] = {
    **_API,
    "ConnectionId": Refused("there are no VPC links here"),
    "ConnectionType": _OTHERS,
    "ContentHandlingStrategy": _WEBSOCKET,
    "CredentialsArn": _ROLE,
    "Description": _INTEGRATION["IntegrationId"],
    "IntegrationMethod": _OTHERS,
    "IntegrationSubtype": Refused("requests are answered by functions only"),
    "IntegrationType": _OTHERS,
    "IntegrationUri": Applied(_TESTS + "test_a_function_is_named_by_its_arn_or_by_the_path_that_invokes_it"),
    "PassthroughBehavior": _WEBSOCKET,
    "PayloadFormatVersion": Applied(_REQUESTS + "test_the_integration_s_payload_format_decides_event_and_answer"),
    "RequestParameters": _MAPPING,
    "RequestTemplates": _WEBSOCKET,
    "ResponseParameters": _MAPPING,
    "TemplateSelectionExpression": _WEBSOCKET,
    "TimeoutInMillis": Applied(_REQUESTS + "test_a_function_that_outlives_the_integration_s_time_limit_goes_on"),
    "TlsConfig.ServerNameToVerify": Refused("requests are answered by functions only"),
}
_ROUTE_SETTINGS: dict[str, Entry] = {
    **_API,
    "ApiKeyRequired": _WEBSOCKET,
    "AuthorizationScopes": _AUTHORIZERS,
    "AuthorizationType": Applied(_TESTS + "test_authorizers_are_refused"),
    "AuthorizerId": _AUTHORIZERS,
    "ModelSelectionExpression": _WEBSOCKET,
    "OperationName": _KEY,
    "RequestModels": _WEBSOCKET,
    "RequestParameters{}.Required": _WEBSOCKET,
    "RouteKey": _KEY,
    "RouteResponseSelectionExpression": _WEBSOCKET,
    "Target": Applied(_TESTS + "test_a_route_leads_to_an_integration_of_its_own_api"),
}
_LIST: dict[str, Entry] = {"MaxResults": _PAGES, "NextToken": _PAGES}

MEMBERS: dict[str, dict[str, Entry]] = {
    "CreateApi": {
        **_API_SETTINGS,
        "ProtocolType": Applied(_TESTS + "test_websocket_apis_are_refused"),
        "RouteKey": _QUICK,
        "Tags": _TAGS,
        "Target": _QUICK,
    },
    "CreateIntegration": _INTEGRATION_SETTINGS,
    "CreateRoute": _ROUTE_SETTINGS,
    "DeleteApi": {**_API},
    "DeleteIntegration": {**_API, **_INTEGRATION},
    "DeleteRoute": {**_API, **_ROUTE},
    "GetApi": {**_API},
    "GetApis": _LIST,
    "GetIntegration": {**_API, **_INTEGRATION},
    "GetIntegrations": {**_API, **_LIST},
    "GetRoute": {**_API, **_ROUTE},
    "GetRoutes": {**_API, **_LIST},
    "GetTags": {"ResourceArn": _TAGS},
    "TagResource": {"ResourceArn": _TAGS, "Tags": _TAGS},
    "UntagResource": {"ResourceArn": _TAGS, "TagKeys": _TAGS},
    "UpdateApi": {
        **_API,
        **_API_SETTINGS,
        "RouteKey": Refused("routes are changed by UpdateRoute"),
        "Target": Refused("integrations are changed by UpdateIntegration"),
    },
    "UpdateIntegration": {**_INTEGRATION_SETTINGS, **_INTEGRATION},
    "UpdateRoute": {**_ROUTE_SETTINGS, **_ROUTE},
}
