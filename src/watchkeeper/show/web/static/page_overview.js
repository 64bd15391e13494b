import { bdi, h, paint } from './dom.js';

export function renderOverview(root, answer, context) {
  context.setCrumbs([{ text: answer?.data?.name ?? 'overview' }]);
  paint(root, h('h1', null, bdi(answer?.summary ?? '')));
}
