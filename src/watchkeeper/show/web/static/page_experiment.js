import { bdi, h, paint } from './dom.js';

export function renderExperiment(root, answer, context) {
  context.setCrumbs([{ text: answer?.data?.name ?? 'experiment' }]);
  paint(root, h('h1', null, bdi(answer?.summary ?? '')));
}
